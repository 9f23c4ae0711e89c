"""What the library does for its caller: a class for each group, with IO only through the ports."""
