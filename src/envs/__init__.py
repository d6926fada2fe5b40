"""The contract of batched environments, the games, environments of other libraries, the checker."""
