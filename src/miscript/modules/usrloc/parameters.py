"""The parameters of module usrloc that are for databases and clusters, which it does not have yet.

Names of columns are accepted, so that scripts need no change.
"""

from __future__ import annotations

from ...exports import parameter

COLUMN = "Name of a column; without a database it means nothing."


class StoreParameters:
    """Parameters for databases and clusters."""

    working_mode_preset = parameter("single-instance-no-db", 'Only "single-instance-no-db" is available: memory.')
    cluster_mode = parameter("none", 'Sharing contacts between hosts; only "none" is available.')
    restart_persistency = parameter("none", 'What is kept from one run to the next; only "none" is available.')
    sql_write_mode = parameter("none", 'When a database is written; only "none" is available.')
    pinging_mode = parameter("ownership", "Who pings a contact in a cluster; it means nothing here.")
    db_url = parameter("", "A database; not used.")
    cachedb_url = parameter("", "A cache as a database; not used.")
    location_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    ha_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    ha_shtag = parameter("", "Tag of a cluster; it means nothing here.")
    skip_replicated_db_ops = parameter(0, "For clusters; it means nothing here.")
    max_contact_delete = parameter(10, "Contacts that a database drops at once; it means nothing here.")
    regen_broken_contactid = parameter(0, "For databases; it means nothing here.")
    contact_id_column = parameter("contact_id", COLUMN)
    user_column = parameter("username", COLUMN)
    domain_column = parameter("domain", COLUMN)
    contact_column = parameter("contact", COLUMN)
    expires_column = parameter("expires", COLUMN)
    q_column = parameter("q", COLUMN)
    callid_column = parameter("callid", COLUMN)
    cseq_column = parameter("cseq", COLUMN)
    flags_column = parameter("flags", COLUMN)
    cflags_column = parameter("cflags", COLUMN)
    user_agent_column = parameter("user_agent", COLUMN)
    received_column = parameter("received", COLUMN)
    path_column = parameter("path", COLUMN)
    socket_column = parameter("socket", COLUMN)
    methods_column = parameter("methods", COLUMN)
    sip_instance_column = parameter("sip_instance", COLUMN)
    kv_store_column = parameter("kv_store", COLUMN)
    attr_column = parameter("attr", COLUMN)


MEMORY_ONLY = {
    "working_mode_preset": "single-instance-no-db",
    "cluster_mode": "none",
    "restart_persistency": "none",
    "sql_write_mode": "none",
    "location_cluster": 0,
    "ha_cluster": 0,
}
"""Parameters of which only one value can be had without a database."""
