"""Whether what a loaded pipeline holds may be given to compiled code: `check.require_sound`."""
