//! System tests: the real programs over real sockets. All are in one binary, so that it
//! is linked once, with one module for each subject.
//!
//! Peerline descends from course work in C. These tests show that its promises are kept,
//! and that its failures do not occur:
//!
//! | Promise | Tests |
//! |---|---|
//! | the relay forwards messages between nodes and clients | `messages::two_connections_exchange_messages`, `messages::a_second_listener_replaces_the_first`, `chat::chat_without_an_address_replies_to_the_last_sender`, `node_messages::messages_are_shown_with_their_sender` |
//! | the relay maintains the active nodes | `directory::an_expired_lease_removes_the_node`, `registration::a_node_stays_listed_beyond_its_lease`, `registration::a_stopped_node_unregisters` |
//! | nodes serve for ever | `concurrency::three_hundred_requests_in_sequence` |
//! | every client gets the whole list | `directory::a_thousand_nodes_are_listed`, `fetch::a_list_of_20000_nodes` |
//! | connections close gracefully after each phase | `fetch::the_relay_connection_is_closed_before_a_node_is_dialled`, `line_protocol::connections_without_requests_are_removed` |
//! | one node at a time until the file is found | `fetch::nodes_are_asked_in_list_order_until_one_has_the_file`, `fetch::a_file_on_no_node_is_not_found` |
//! | files spread evenly over three nodes | `demo::sample_files_are_spread_evenly_over_three_nodes` |
//! | address and port from the command line | `startup::the_first_line_names_the_address`, `client_output::the_relay_host_may_be_a_name` |
//! | proper formats of requests and responses | `transcripts::every_transcript_of_the_specification_runs` |
//! | "secure communication": not encrypted yet, but addresses cannot be forged | `directory::registering_another_address_is_refused`, `directory::only_the_registrant_may_unregister`, `udp::a_cookie_is_bound_to_address_and_port` |
//! | an index: content is registered and removed at run time | `announce::only_changes_are_announced`, `share_command::share_and_unshare_a_file_outside_the_folder`, `churn::a_fetch_during_changes_gets_one_version_or_none`, `announce::a_hundred_thousand_files_of_one_node_are_announced` |
//! | a menu to browse it | `client_queries::the_prompt_has_every_query`, `line_editor::tab_completes_commands_and_names` |
//! | UDP for the index | `udp::every_udp_verb_is_executed`, `udp_programs::all_files_are_announced_despite_packet_loss`, `udp_programs::a_client_finds_holders_despite_packet_loss` |
//! | peers join and leave without disturbing others | `announce::a_killed_holder_is_removed_when_its_lease_ends`, `file_index::unregister_removes_one_of_two_holders` |
//! | a peer serves and fetches at once | `node_console::eight_fetches_and_eight_uploads_at_once`, `node_console::fetch_share_unshare_and_quit_at_a_terminal` |
//! | robust errors, many nodes | `hostile_relay::text_from_the_relay_is_escaped`, `chat::text_from_a_hostile_relay_is_escaped`, `directory::a_thousand_nodes_are_listed` |
//!
//! | Failure | Tests |
//! |---|---|
//! | a 17-byte file, many tries | `transfer::a_small_file_arrives_200_times` |
//! | other sizes up to 3 GiB | `transfer::every_size_arrives_byte_for_byte`, `transfer::three_gibibytes_arrive` |
//! | binary, empty, with a blank in its name | `node_get::files_of_all_sizes_are_served`, `node_get::names_may_have_blanks_and_any_script` |
//! | a name of 5,000 characters, a folder as a name | `line_protocol::a_line_of_five_thousand_characters_closes_the_connection`, `node_get::only_regular_files_are_served` |
//! | dead node first, frozen node first | `fetch::a_dead_node_is_skipped`, `fetch::a_frozen_node_is_skipped` |
//! | many clients at once | `concurrency::two_hundred_and_fifty_six_clients_at_once`, `transfer::a_hundred_clients_are_served_at_once` |
//! | a silent connection to the relay or a node | `concurrency::silent_connections_do_not_delay_others` |
//! | a connection without a request, random input, an HTTP request | `line_protocol::connections_without_requests_are_removed`, `fuzz::random_input_does_no_harm`, `other_protocols::without_http_a_request_gets_one_error_and_is_closed` |
//! | `../secret`, an absolute path, a symlink | `node_get::names_and_links_do_not_leave_the_folder`, `save::a_name_that_leaves_the_folder_is_invalid`, `save::links_are_not_followed_out_of_the_folder` |
//! | the same node twice, a relay started again | `directory::nodes_are_listed_once_in_order_of_first_registration`, `registration::a_node_registers_again_after_a_relay_restart`, `announce::a_restarted_relay_gets_all_files_with_one_registration` |
//! | a client that disconnects in mid-transfer | `concurrency::clients_that_disconnect_mid_body_are_removed` |

#![allow(missing_docs, unreachable_pub)]

mod access;
mod access_log;
mod address_changes;
mod allowed_ids;
mod announce;
mod certificates;
mod changed_secret;
mod changing_files;
mod chat;
mod churn;
mod client_output;
mod client_queries;
mod concurrency;
mod connections;
mod content_cache;
mod demo;
mod descriptors;
mod dht;
mod digest;
mod directory;
mod disks;
mod fetch;
mod file_index;
mod find_holders;
mod from_node;
mod fuzz;
mod hashes;
mod hidden_names;
mod hostile_relay;
mod http_archive;
mod http_browsers;
mod http_choices;
mod http_clients;
mod http_errors;
mod http_files;
mod http_limits;
mod http_node;
mod http_pages;
mod http_relay;
mod http_rules;
mod idle_cpu;
mod interrupts;
mod job_control;
mod known_relays;
mod limits;
mod line_editor;
mod line_protocol;
mod list_files;
mod local_network;
mod log;
mod lost_nodes;
mod many_files;
mod mdns_flood;
mod messages;
mod mixed_traffic;
mod moved_folder;
mod netcat;
mod network;
mod node_console;
mod node_console_get;
mod node_get;
mod node_keys;
mod node_messages;
mod on_message;
mod other_protocols;
mod output_queue;
mod partial_files;
mod pieces;
mod progress_bars;
mod prompt;
mod prompt_get;
mod ranges;
mod rates;
mod recipes;
mod registration;
mod registry;
mod registry_faults;
mod registry_network;
mod relay_digests;
mod relays;
mod resume;
mod same_target;
mod sandbox;
mod save;
mod service;
mod share_changes;
mod share_command;
mod shutdown;
mod signals;
mod small_files;
mod startup;
mod strangers;
mod streams;
mod support;
mod terminal_content;
mod tls;
mod tls_client;
mod tls_cut;
mod tls_handshakes;
mod tls_resumption;
mod transcripts;
mod transfer;
mod udp;
mod udp_programs;
mod unread_log;
mod unreliable_nodes;
mod usage;
mod user;
mod verify;
mod wrong_sizes;
