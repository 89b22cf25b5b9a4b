"""Model and training criterion held against stored numbers of the published implementation."""
