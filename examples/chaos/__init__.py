"""The Lorenz system: its trajectories, networks of its derivatives, and its hidden version."""
