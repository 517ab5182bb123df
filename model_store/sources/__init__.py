"""What files and folders hold, a module a source. Each lists what is named, and reads it."""
