"""Messages of `env_checker.py`: broken promises, episodes that do not repeat or differ."""

ACTIONS = (
    "step changed the actions it was given {where}. They belong to the caller, who stores them: "
    "work on a copy."
)
ACTIONS_OF_NUMBERS = "a vector of numbers, [B, N, A] float32"
ALIASING = (
    "{name} as returned {where} was changed later by step or reset. Code that stored it now has "
    "other values: return new tensors instead of writing into old ones."
)
SAME_SEED = (
    "Two environments with the same seed and stream differ in {place} although the same actions "
    "were played. Draw every random number from `torch_generator(seed, stream)` of utils/seeding, "
    "never from a global random function."
)
SAME_EPISODES = (
    "Episodes are random, yet {name} shows exactly the same ones for the same actions. {advice}"
)
STREAM_ADVICE = {
    "another stream": "Let `stream` name the random stream, or test episodes repeat training ones.",
    "another seed": "Let `seed` decide the random stream, or runs of different seeds are the same.",
    "the next reset": "Seed the stream in the constructor only, not in reset.",
    "another env slot": "Draw random numbers of shape [B, ...], or all B episodes are the same.",
}
STATE_PLAIN = (
    "state_dict cannot be read back from a checkpoint ({error}). Keep to tensors, numbers, text, "
    "lists and dicts; `generator_state` of utils/seeding turns a generator into them."
)
STATE = (
    "After load_state_dict into {what}, the episodes differ from those that followed state_dict, "
    "first in {place}. Save and restore everything that decides later episodes, at least the "
    "random stream."
)
NOT_ALWAYS_AVAILABLE = (
    "avail{place} {where} differs from action_counts, but info.dynamic_avail=False promises that "
    "every action is always available. Set dynamic_avail=True."
)
STATE_IS_NOT_OBS = (
    "state {where} differs from obs.flatten(1), but info.state_is_obs=True promises that they are "
    "equal: the state would be lost. Set state_is_obs=False."
)
