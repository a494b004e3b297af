"""Games as text, as Mermaid diagrams and as SVG pictures; plans as data and as text."""
