-- A second factor for senders that can prove who they are. Beside the token, a delivery must come over a TLS connection
-- of Muster's own whose client certificate bears this DNS name or address; null where the token is enough.

alter table sources
    add column client_name text check (client_name is null or length(client_name) between 1 and 253);
