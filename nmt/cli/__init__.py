"""The `nmt` command: one thin file a command. Each parses, calls the library and prints; none computes."""
