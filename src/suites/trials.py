"""Optuna's side of a search: asking for settings, telling their scores, stopping weak trials."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.results import Curve
from config.search_space import Range, Search
from config.suite_file import Study
from utils.errors import UserError
from utils.invocation import pip_install

STARTUP_TRIALS = 5  # trials that are never stopped early, and drawn at random


class Trials:
    """The trials of one study, in a file that several starts share.

    Args:
        search: what is searched.
        study: for which method and task.
        folder: where the file is.

    Raises:
        UserError: if Optuna is missing.
    """

    def __init__(self, search: Search, study: Study, folder: Path):
        self._optuna = optuna = _optuna()
        self.search = search
        asked = [study.settings, study.seeds, search.metric, repr(search.space)]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]
        self.name = f"{Path(study.alg).stem}-{Path(study.env).stem}-{digest}"
        backend = optuna.storages.journal.JournalFileBackend(str(folder / "optuna.log"))
        self._study = optuna.create_study(
            study_name=self.name,
            storage=optuna.storages.JournalStorage(backend),
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
        )

    def next(self) -> Any | None:
        """The trial to run now: one that was stopped, else a new one; None if there are enough."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            if not trial.state.is_finished():
                return self._optuna.trial.Trial(self._study, trial._trial_id)
        if len(trials) >= self.search.trials:
            return None
        # Seeded by the trial, so that a search that was stopped proposes what it would have.
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=len(trials), n_startup_trials=STARTUP_TRIALS
        )
        return self._study.ask(self._distributions())

    def settings(self, trial: Any) -> dict[str, Any]:
        """The settings of a trial, {dotted key: value}."""
        drawn: Mapping[str, Any] = trial.params
        choices = {k: v for k, v in self.search.space.items() if not isinstance(v, Range)}
        return self.search.tidy({**drawn, **{k: v[drawn[k]] for k, v in choices.items()}})

    def tell(self, trial: Any, score: float | None) -> None:
        """Note a trial's score; None: one of its runs failed."""
        states = self._optuna.trial.TrialState
        if score is None:
            self._study.tell(trial, state=states.FAIL)
        else:
            self._study.tell(trial, score)

    def prune(self, trial: Any) -> None:
        """Note that a trial was stopped early."""
        self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)

    def best(self) -> Any:
        """The trial with the highest score.

        Raises:
            UserError: if none has one.
        """
        complete = self._study.get_trials(states=(self._optuna.trial.TrialState.COMPLETE,))
        if not complete:
            raise UserError(f"{self.name}: no trial has a score; all of its runs failed.")
        return max(complete, key=lambda trial: trial.value)

    def _distributions(self) -> dict[str, Any]:
        d = self._optuna.distributions
        found = {}
        for key, space in self.search.space.items():
            if not isinstance(space, Range):  # by number: a choice may be a list
                found[key] = d.CategoricalDistribution(list(range(len(space))))
            else:
                kind = d.IntDistribution if space.is_whole else d.FloatDistribution
                found[key] = kind(space.low, space.high, log=space.log)
        return found


class Pruning:
    """Whether a trial is worse, after as many tests, than half of the trials before it.

    Args:
        trial: Optuna's trial.
    """

    def __init__(self, trial: Any):
        stored = trial.study.get_trials(deepcopy=False)[trial.number]
        self._trial, self._reported = trial, len(stored.intermediate_values)
        self.is_weak = False

    def see(self, curves: list[Curve]) -> bool:
        """Look at the greedy tests so far.

        Args:
            curves: of each seed of the trial; the score of test n is the mean over all seeds.

        Returns:
            Whether the trial must stop.
        """
        known = min((len(values) for _, values in curves), default=0)
        for n in range(self._reported, known):
            self._trial.report(sum(float(values[n]) for _, values in curves) / len(curves), n)
            self.is_weak = self.is_weak or self._trial.should_prune()
        self._reported = max(self._reported, known)
        return self.is_weak


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError(
            f"A search needs the package 'optuna', which is not installed. Install it with "
            f"`{pip_install('optuna')}`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
