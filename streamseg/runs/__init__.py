"""What lies in a run's folder: reading it, writing it, and looking at it afterwards."""
