"""Games and plans, shown: as text, as a Mermaid diagram, as a picture."""
