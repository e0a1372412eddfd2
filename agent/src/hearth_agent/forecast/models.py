"""Models from the hub: believed only when signed, for this home, newer, and what their card says; kept on the disk."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hearth_agent.events import EventLog
from hearth_agent.files import write_durably
from hearth_agent.forecast.series import STEP_S
from hearth_core.errors import PermanentError, PoisonMessageError, SignatureError
from hearth_core.messages import ModelDelivery, Target
from hearth_core.signing import unseal
from hearth_models.forecasting import HORIZON_STEPS

logger = logging.getLogger(__name__)

LARGEST_BYTES = 32 * 1024 * 1024


class ModelRefusedError(PermanentError):
    """A delivery this home does not use; the text says why."""


class ModelStore:
    """The newest accepted delivery of each target."""

    def __init__(self, folder: Path, home: str, key: Ed25519PublicKey | None, events: EventLog) -> None:
        self._folder, self._home, self._key, self._events = folder, home, key, events
        self._deliveries: dict[Target, ModelDelivery] = {}
        for target in Target:
            self._restore(target)

    def get(self, target: Target) -> ModelDelivery | None:
        """Return the model in use."""
        return self._deliveries.get(target)

    def offer(self, target_name: str, sealed: bytes) -> ModelDelivery | None:
        """Take a delivery from the wire; None when it is refused (told) or already known."""
        if not sealed:
            return None  # a retained model was cleared
        try:
            delivery = self._check(sealed)
            if delivery == self._deliveries.get(delivery.card.target):
                return None  # the broker repeats its retained message after every reconnect
            self._check_newer(delivery, target_name)
        except (ModelRefusedError, PoisonMessageError, SignatureError) as error:
            self._events.warning("model_refused", str(error))
            return None
        write_durably(self._path(delivery.card.target), sealed)
        self._deliveries[delivery.card.target] = delivery
        return delivery

    def _check(self, sealed: bytes) -> ModelDelivery:
        if len(sealed) > LARGEST_BYTES:
            raise ModelRefusedError(f"{len(sealed)} bytes are more than a model may have")
        if self._key is None:
            raise ModelRefusedError("this home has no hub.public_key to check signatures with")
        delivery = unseal(sealed, self._key, ModelDelivery)
        card = delivery.card
        if delivery.home != self._home:
            raise ModelRefusedError(f"it is for {delivery.home}, this home is {self._home}")
        if hashlib.sha256(delivery.onnx).hexdigest() != card.onnx_sha256:
            raise ModelRefusedError(f"model {card.version}: its bytes are not those of its card")
        if (card.step_s, card.horizon_steps) != (STEP_S, HORIZON_STEPS):
            raise ModelRefusedError(
                f"model {card.version}: {card.horizon_steps} steps of {card.step_s} s are not used here"
            )
        return delivery

    def _check_newer(self, delivery: ModelDelivery, target_name: str) -> None:
        if delivery.card.target != target_name:
            raise ModelRefusedError(f"a model for {delivery.card.target} came as one for {target_name}")
        known = self._deliveries.get(delivery.card.target)
        if known is not None and delivery.issued_ms <= known.issued_ms:
            raise ModelRefusedError("it is not newer than the one in use")

    def _path(self, target: Target) -> Path:
        return self._folder / f"{target}.sealed"

    def _restore(self, target: Target) -> None:
        path = self._path(target)
        if self._key is None or not path.exists():
            return
        try:
            self._deliveries[target] = self._check(path.read_bytes())
        except (OSError, ModelRefusedError, PoisonMessageError, SignatureError) as error:
            logger.warning("the kept model for %s is not used: %s", target, error)
