"""The parameters of module drouting.

Source: OpenSIPS manual, module drouting, "Exported Parameters".
"""

from __future__ import annotations

from typing import Final

from ...exports import parameter

SOCKET_FILTERS: Final = ("all", "ignore", "matched-only")

CLUSTER_PARAMETERS: Final = {"cluster_id": 0, "cluster_sharing_tag": "", "cluster_probing_mode": ""}
"""Parameters of what is not here, and the values that ask for nothing of it."""


class DroutingParameters:
    """What `modparam` may set."""

    db_url = parameter("", "The database with the tables; without it `db_default_url`.")
    drd_table = parameter("dr_gateways", "The table of gateways.")
    drr_table = parameter("dr_rules", "The table of rules, or the name of a query of rule_tables_query.")
    drg_table = parameter("dr_groups", "The table that tells the groups of callers.")
    drc_table = parameter("dr_carriers", "The table of carriers.")
    ruri_avp = parameter("", "AVP of the Request-URIs still to be tried; $avp(___dr_ruri__) when it is not set.")
    gw_id_avp = parameter("", "AVP of the gateways' ids; $avp(___dr_gw_id__) when it is not set.")
    gw_priprefix_avp = parameter("", "AVP of the gateways' PRI prefixes.")
    rule_id_avp = parameter("", "AVP of the id of the rule that was used.")
    rule_prefix_avp = parameter("", "AVP of the prefix of the rule that was used.")
    carrier_id_avp = parameter("", "AVP of the carriers' ids.")
    gw_sock_avp = parameter("", "AVP of the gateways' sockets; $avp(___dr_sock__) when it is not set.")
    define_blacklist: list[str] = parameter(
        [], "A blacklist of the gateways of some types: [PARTITION:]NAME=TYPE,TYPE.", kinds="string", repeatable=True
    )
    default_group = parameter(-1, "The group of callers that the table of groups does not know; -1 for none.")
    force_dns = parameter(1, "Whether names of gateways are resolved when they are loaded.")
    persistent_state = parameter(1, "Whether the states of gateways and carriers are read from and kept in the tables.")
    no_concurrent_reload = parameter(0, "1: a reload is refused while another one is under way; 0: it waits for it.")
    probing_interval = parameter(30, "Seconds from one probe of a gateway to the next; 0 for no probes at all.")
    probing_method = parameter("OPTIONS", "The method of probes.")
    probing_from = parameter("sip:prober@localhost", "The URI in From of probes.")
    probing_reply_codes = parameter("", "Statuses that count as good beside 200, commas between them.")
    probing_socket = parameter("", "Our socket that probes are sent from, [proto:]host[:port].")
    gw_socket_filter_mode = parameter(
        "all", "What the sockets of gateways mean: all, ignore, or matched-only: other gateways are not loaded."
    )
    cluster_id = parameter(0, "Of clusters, which are not here.")
    cluster_sharing_tag = parameter("", "Of clusters, which are not here.")
    cluster_probing_mode = parameter("", "Of clusters, which are not here.")
    use_domain = parameter(1, "Whether the domain counts when the group of a caller is looked for.")
    drg_user_col = parameter("username", "The column of users in the table of groups.")
    drg_domain_col = parameter("domain", "The column of domains in the table of groups.")
    drg_grpid_col = parameter("groupid", "The column of groups in the table of groups.")
    use_partitions = parameter(0, "1: partitions are made of the rows of db_partitions_table.")
    db_partitions_url = parameter("", "The database with the table of partitions.")
    db_partitions_table = parameter("dr_partitions", "The table of partitions.")
    partition_id_pvar = parameter("", "Variable that gets the name of the partition in which `*` found something.")
    enable_restart_persistency = parameter(0, "Accepted; the tables are read at each start.")
    extra_prefix_chars = parameter("", "Characters that prefixes may have beside digits.")
    extra_id_chars = parameter("_-.", "Characters that ids may have beside letters and digits.")
    rule_tables_query: list[str] = parameter(
        [], "NAME:QUERY, a query for the tables that are the rules together.", kinds="string", repeatable=True
    )
    generate_data_checksum = parameter(0, "1: the MD5 of what is loaded is shown and reported.")
