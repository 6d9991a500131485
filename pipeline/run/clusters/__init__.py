"""Clusters that a run starts elsewhere for its own length, as a file says: by ssh, on SLURM, on Kubernetes."""
