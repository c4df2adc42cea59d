"""What a fake offers beyond the real thing: nothing, or the fake is wrong."""

import inspect


def beyond(fake, real):
    """Public names of the class `fake` that `real` has not, or has with other arguments; an empty list is right.

    real: name -> lists of arguments (overloads), or None for a property.
    """
    found = []
    for name in sorted(n for n in dir(fake) if not n.startswith("_") or n == "__init__"):
        member = inspect.getattr_static(fake, name)
        if inspect.isclass(member):
            continue  # an enumeration
        if name == "__init__" and (member is object.__init__ or "__init__" not in real):
            continue  # made by the library and never by a caller
        if name not in real:
            found.append("no {}".format(name))
        elif callable(member) or isinstance(member, staticmethod):
            arguments = arguments_of(getattr(fake, name))
            if real[name] is None or not any(arguments == given for given in real[name]):
                found.append("{}{}, really {}".format(name, tuple(arguments), real[name]))
        elif real[name] is not None:
            found.append("{} is a method".format(name))
    return found


def arguments_of(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]
