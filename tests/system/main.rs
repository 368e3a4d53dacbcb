//! The real programs over real sockets, as their users meet them. One binary,
//! so that it is linked once; one module a subject.
//!
//! Peerline descends from course work in C that promised much and broke often.
//! What it promised is our least, and what it broke is our test list:
//!
//! | Promised | Shown by |
//! |---|---|
//! | the relay passes messages on, nodes and clients answer | `messages::two_people_talk_both_ways`, `messages::a_node_is_reached_at_its_address_and_a_second_listener_replaces_the_first`, `chat::two_clients_talk_and_the_second_answers_whoever_writes`, `mailbox::what_arrives_is_shown_with_who_sent_it` |
//! | the relay maintains the active nodes | `directory::a_lease_that_runs_out_is_the_end_of_the_entry`, `renewal::a_node_stays_listed_beyond_its_lease`, `renewal::a_node_that_is_stopped_takes_itself_out` |
//! | nodes serve for ever | `crowd::one_after_the_other_a_small_file_arrives_every_time` |
//! | the list is for all | `directory::a_thousand_nodes_are_all_listed`, `fetch::a_long_list_arrives_whole` |
//! | closed gracefully after each phase, sockets released | `fetch::the_relay_is_asked_first_and_left_properly_before_a_node_is_asked`, `wire::who_connects_and_goes_leaves_no_trace` |
//! | one node at a time until found or exhausted | `fetch::nodes_are_asked_in_the_order_of_the_list_up_to_the_first_that_has_the_file`, `fetch::when_all_were_asked_in_vain_the_client_says_so` |
//! | files spread evenly over three nodes | `demo::the_files_are_spread_evenly_and_each_is_on_one_node` |
//! | address and port from the command line | `starting::the_first_line_tells_the_address`, `screen::a_relay_is_found_by_name` |
//! | proper formats of requests and responses | `transcripts::every_transcript_of_the_contract_is_true` |
//! | "secure communication": not encrypted yet, but nobody speaks for others | `directory::nobody_may_claim_the_address_of_another`, `directory::only_who_registered_a_node_may_take_it_out`, `udp::a_cookie_is_good_for_one_address_and_port` |
//! | an index: register and deregister content at run time | `announcing::only_what_changed_is_told`, `sharing::a_file_from_elsewhere_is_shared_and_taken_back`, `churn::each_fetch_gets_one_whole_version_or_none_and_the_index_is_the_folder_afterwards`, `announcing::a_hundred_thousand_files_of_one_node_are_announced` |
//! | a menu to browse it | `asking::the_prompt_knows_the_questions`, `editing::the_tab_key_completes_commands_and_names` |
//! | UDP for the index | `udp::every_verb_that_udp_knows_is_carried_out`, `lossy::all_files_of_a_node_arrive_through_a_storm`, `lossy::what_a_client_finds_through_a_storm_is_right` |
//! | peers join and leave without disturbing others | `announcing::of_two_nodes_with_the_same_file_one_dies`, `files::two_nodes_have_the_same_file_and_one_leaves` |
//! | a peer serves and fetches at once | `console::eight_files_are_fetched_at_once_while_eight_others_are_served`, `console::a_person_at_a_node_fetches_shares_and_leaves` |
//! | later: robust errors, many nodes | `strange_relay::what_the_relay_says_is_shown_and_does_no_harm`, `chat::a_hostile_relay_cannot_write_on_the_terminal`, `directory::a_thousand_nodes_are_all_listed` |
//!
//! | Broken there | Shown by |
//! |---|---|
//! | a 17-byte file, many tries | `bodies::a_small_file_comes_every_time` |
//! | other sizes, up to 3 GiB | `bodies::every_size_comes_byte_for_byte`, `bodies::three_gibibytes_come_whole` |
//! | binary, empty, with a blank in its name | `serving::files_of_all_sizes_and_bytes_arrive_as_they_are`, `serving::names_may_have_blanks_and_any_script` |
//! | a name of 5,000 characters, a folder as a name | `wire::a_line_of_five_thousand_characters_closes_the_connection`, `serving::only_regular_files_are_served` |
//! | dead node first, frozen node first | `fetch::a_dead_node_is_passed_over`, `fetch::a_frozen_node_is_passed_over` |
//! | many clients at once | `crowd::two_hundred_and_fifty_six_at_once_get_what_they_asked_for`, `bodies::a_hundred_clients_are_served_at_once` |
//! | a silent connection to the relay or a node | `crowd::the_silent_do_not_hold_up_anybody` |
//! | connect and close, garbage, an HTTP request | `wire::who_connects_and_goes_leaves_no_trace`, `chance::whatever_comes_is_answered_and_does_no_harm`, `foreign::an_http_request_is_answered_once_and_not_read_on` |
//! | `../secret`, an absolute path, a symlink | `serving::no_name_leads_out_of_the_folder`, `saving::a_name_that_leads_out_is_none`, `saving::links_do_not_lead_out_of_the_folder` |
//! | the same node twice, a relay started again | `directory::nodes_are_listed_once_in_the_order_of_their_first_registration`, `renewal::a_relay_starts_again_on_its_port_and_its_node_comes_back`, `announcing::a_relay_that_was_started_again_gets_everything_with_one_registration` |
//! | a client that goes away in mid-transfer | `crowd::who_goes_away_in_mid_body_is_forgotten` |

#![allow(missing_docs, unreachable_pub)]

mod announcing;
mod asking;
mod bodies;
mod chance;
mod chat;
mod churn;
mod console;
mod crowd;
mod datagrams;
mod demo;
mod descriptors;
mod directory;
mod editing;
mod fake;
mod fetch;
mod files;
mod finding;
mod foreign;
mod freshness;
mod hashing;
mod index;
mod limits;
mod listing;
mod lossy;
mod mailbox;
mod messages;
mod netcat;
mod prompt;
mod proxy;
mod queue;
mod renewal;
mod running;
mod saving;
mod screen;
mod serving;
mod sharing;
mod shown;
mod starting;
mod stopping;
mod strange_relay;
mod support;
mod terminal;
mod transcripts;
mod udp;
mod unread;
mod usage;
mod waiting;
mod wire;
