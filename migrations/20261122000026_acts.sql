-- People hold the circuit of a target open by hand; then there is no next try.

alter table breakers
    drop constraint breakers_state_check,
    drop constraint breakers_check3,
    add constraint breakers_state_check check (state in ('closed', 'open', 'half_open', 'by_hand')),
    add constraint breakers_due_check check ((state in ('open', 'half_open')) = (due is not null));
