"""The contract of batched environments, the games, adapters and the checker."""
