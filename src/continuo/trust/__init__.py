"""Who somebody is: SPIFFE identities, and connections that both ends have proved theirs on."""
