"""What `raylab.bench chaos` needs: the search it kills, the cluster that runs on, and the ways to harm both."""
