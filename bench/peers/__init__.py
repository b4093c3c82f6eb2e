"""What else one could take: each peer as its users would write it, asked in the same run, its answers checked."""
