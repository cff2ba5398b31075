"""Script functions that say whether a message comes from, or goes to, a gateway.

Source: OpenSIPS manual, module drouting, `goes_to_gw`, `is_from_gw`, `dr_is_gw`; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...exports import Variable, script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.sockets import DEFAULT_PORTS, Target
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from .applying import Outputs, request_of, uri_of, user_for
from .functions import ALL
from .gateways import Gateway, numeric_target
from .partitions import Partition
from .routing_data import RoutingData

if TYPE_CHECKING:
    from .module_base import PartitionedModule as Base
else:
    Base = object

log = logging.getLogger("miscript.drouting")

ANY_TYPE: Final = -1


@dataclass(frozen=True, slots=True)
class Sought:
    """A gateway that is looked for: of a type, at one of some places, with what is to be done when it is found."""

    places: Sequence[Target]
    type: int
    flags: str
    outputs: Outputs

    def find(self, data: RoutingData) -> Gateway | None:
        """The first gateway, by id, that it is."""
        for place in self.places:
            port = None if "n" in self.flags else place.port
            transport = place.transport if "r" in self.flags else None
            for gateway in data.at(place.address):
                if self.type in (ANY_TYPE, gateway.type) and gateway.is_at(place.address, port, transport):
                    return gateway
        return None


class GatewayRecognition(Base):
    """Recognising gateways."""

    @script_function(routes="request failure reply branch")
    def is_from_gw(
        self,
        run: Run,
        type: int | None = None,
        flags: str | None = None,
        gw_attrs: Variable | None = None,
        carrier_attrs: Variable | None = None,
        partition: str | None = None,
    ) -> int:
        """Whether the message came from a gateway, of a type or of any (-1).

        Flags: s strips the number in the Request-URI and p prefixes it as the gateway has it, i and c write its id
        and that of its first carrier to their AVPs, n looks at no port, r looks at the protocol too.
        """
        message = run.message
        if not isinstance(message, Message):
            return -1
        address, port = message.source
        place = Target(message.received.transport, address, port)
        return self._seek(run, partition, _sought([place], type, flags, gw_attrs, carrier_attrs), "is_from_gw")

    @script_function(routes="request failure reply branch local")
    def goes_to_gw(
        self,
        run: Run,
        type: int | None = None,
        flags: str | None = None,
        gw_attrs: Variable | None = None,
        carrier_attrs: Variable | None = None,
        partition: str | None = None,
    ) -> int:
        """Whether the destination of the request, its destination URI or its Request-URI, is the address of a gateway.

        Flags as for `is_from_gw`, without r.  A name is not resolved.
        """
        message = request_of(run)
        if message is None:
            return -1
        try:
            place = numeric_target(SipUri.parse(message.branch.destination or message.uri or ""))
        except SipSyntaxError as error:
            log.error("goes_to_gw: %s", error)
            return -1
        sought = _sought([place] if place else [], type, (flags or "").replace("r", ""), gw_attrs, carrier_attrs)
        return self._seek(run, partition, sought, "goes_to_gw")

    @script_function()
    async def dr_is_gw(
        self,
        run: Run,
        sip_uri: str,
        type: int | None = None,
        flags: str | None = None,
        gw_attrs: Variable | None = None,
        carrier_attrs: Variable | None = None,
        partition: str | None = None,
    ) -> int:
        """Whether the host of a SIP URI, resolved when it is a name, is a gateway.  Flags as for `is_from_gw`, without
        r."""
        try:
            uri = SipUri.parse(sip_uri)
            place = numeric_target(uri)
        except SipSyntaxError as error:
            log.error("dr_is_gw: %s", error)
            return -1
        places = [place] if place is not None else await self._places(uri)
        sought = _sought(places, type, (flags or "").replace("r", ""), gw_attrs, carrier_attrs)
        return self._seek(run, partition, sought, "dr_is_gw")

    async def _places(self, uri: SipUri) -> Sequence[Target]:
        """Where a name leads, by the port that its URI writes out."""
        found = await sip_service(self.services).resolve(uri)
        return [place._replace(port=uri.port or place.port or DEFAULT_PORTS["udp"]) for place in found]

    def _seek(self, run: Run, partition: str | None, sought: Sought, function: str) -> int:
        if partition == ALL and self.use_partitions:
            for found in self.partitions.values():
                if self._seek_in(run, found, sought):
                    self.tell_partition(run, found)
                    return 1
            return -1
        one = self.partition_for(partition, function)
        return 1 if one is not None and self._seek_in(run, one, sought) else -1

    def _seek_in(self, run: Run, partition: Partition, sought: Sought) -> bool:
        data = partition.data
        gateway = None if data is None else sought.find(data)
        if data is None or gateway is None:
            return False
        carrier, names = data.carrier_of(gateway), partition.avps
        self._change_number(run, gateway, sought.flags)
        if "p" in sought.flags and names.prefix:
            run.avps[names.prefix] = [gateway.prefix]
        if "i" in sought.flags:
            run.avps[names.gateway] = [gateway.id]
        if "c" in sought.flags and names.carrier and carrier is not None:
            run.avps[names.carrier] = [carrier.id]
        sought.outputs.write(run, None, gateway.attributes, None if carrier is None else carrier.attributes)
        return True

    def _change_number(self, run: Run, gateway: Gateway, flags: str) -> None:
        strip, prefix = "s" in flags and bool(gateway.strip), "p" in flags and bool(gateway.prefix)
        message = request_of(run)
        uri = uri_of(message) if message is not None and (strip or prefix) else None
        if message is None or uri is None or uri.user is None:
            return
        try:
            message.uri = str(uri.with_user(user_for(uri.user, gateway, strip=strip, prefix=prefix) or None))
        except SipSyntaxError as error:
            log.error("gateway '%s': the number cannot be changed: %s", gateway.id, error)


def _sought(
    places: Sequence[Target],
    type: int | None,
    flags: str | None,
    gw_attrs: Variable | None,
    carrier_attrs: Variable | None,
) -> Sought:
    return Sought(places, ANY_TYPE if type is None else type, flags or "", Outputs(None, gw_attrs, carrier_attrs))
