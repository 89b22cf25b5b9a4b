"""A model's scores on pictures of the procedural world that no training has used."""
