"""The commands, one module each; they import what is slow (torch, matplotlib) inside their function."""
