"""Coordination graphs: pay-offs of agents and pairs, edges, the best joint action."""
