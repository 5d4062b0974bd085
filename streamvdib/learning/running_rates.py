"""What of a learner may change while it runs: its rates, and whether it learns at all."""

from __future__ import annotations

from streamvdib.learning.learner_state import Settings, check_rate


class RunningRates:
    """Rates and pause of a learner, from its settings on."""

    def __init__(self, settings: Settings) -> None:
        self._decoder_follows = settings.decoder_learning_rate is None
        self._learning_rate = settings.learning_rate
        self.decoder_learning_rate = settings.rate_of_decoder
        self.is_paused = False

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""
        return self.is_paused

    @property
    def learning_rate(self) -> float:
        """Of the encoder, and of a decoder that was given no rate of its own; may be set."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._learning_rate = check_rate("learning_rate", rate)
        if self._decoder_follows:
            self.decoder_learning_rate = rate
