"""Networks: agents, mixers, critics, graphs; pure torch."""
