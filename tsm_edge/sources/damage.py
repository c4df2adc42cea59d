"""How the readers of containers say that a file is damaged."""


class DamageError(Exception):
    """A file is damaged. Its text says how, in a few words."""


def cut_off(size: int, stated: int) -> DamageError:
    """Return the error for a file of `size` bytes whose parts end at byte `stated`."""
    return DamageError("cut off: {} bytes are here of at least {}".format(size, stated))


def broken(at: int, size: int) -> DamageError:
    """Return the error for a file of `size` bytes with something at byte `at` that cannot stand there."""
    return DamageError("broken or cut off at byte {} of {}".format(at, size))
