"""What a person declares: values, players, energies, who moves when; and the frozen loss graph."""
