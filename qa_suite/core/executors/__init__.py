"""Who does the work: this process, several beside it, or a cluster; one seam before all of them."""
