"""What games learn from: rendered faces, photographs, drawings; how they are split and served."""
