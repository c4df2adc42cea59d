"""The host half's commands of `tsm-edge`, one file a command; `tsm_edge.commands.COMMANDS` lists them."""
