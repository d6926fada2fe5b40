"""Action graphs: nodes, edges, attention, contexts."""
