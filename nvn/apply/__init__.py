"""Using a trained run on files: its recipe's application, picture by picture."""
