"""The one place where the version stands: a checkout that runs uninstalled has no metadata."""

VERSION = "0.1.0"
