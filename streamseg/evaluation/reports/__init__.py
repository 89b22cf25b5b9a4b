"""What people see of an evaluation: tables in the terminal, and one file with the worst frames and tracks."""
