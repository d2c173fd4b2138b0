"""The pages of the dashboard, one file each; every one is a function without arguments."""
