"""What an installer does with devices from the command line: find, read, record and report them; nothing is written."""
