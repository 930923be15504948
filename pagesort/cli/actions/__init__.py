"""What the command can do: a module for each kind of action, with its handlers and requests."""
