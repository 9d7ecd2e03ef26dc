"""What people touch: the command line, pictures, and the run folder's contents."""
