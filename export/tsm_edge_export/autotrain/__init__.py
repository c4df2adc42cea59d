"""`tsm-edge train FOLDER`: from a folder of clips to trained weights and a report, without a configuration."""
