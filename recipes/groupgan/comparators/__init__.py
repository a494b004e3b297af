"""What the paper compares with: hand-crafted features and a linear machine; self-cure."""
