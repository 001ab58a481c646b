//! Attacks, each with its test; for a test elsewhere the table names its module from `e2e`. All of
//! it is black box: raw sockets, configuration files and processes.
//!
//! | attack | test |
//! | --- | --- |
//! | climbing out of a repository, `..` in every spelling | `paths::a_path_that_climbs_out_of_its_repository_is_refused_in_every_spelling` |
//! | NUL, slashes, controls, unicode, raw and encoded | `paths::bytes_that_stand_in_no_name_are_refused_raw_and_encoded` |
//! | case, double slashes, other forms of a request line | `paths::case_and_slashes_make_no_second_spelling_of_a_path` |
//! | over-long names, digests, paths | `paths::no_path_is_too_long_to_be_refused_and_no_name_to_be_served` |
//! | names ending in `/blobs/uploads`, `/tags/list` and the like | `paths::names_made_of_the_words_of_the_grammar_are_repositories_of_their_own` |
//! | changed Locations | `paths::a_location_that_was_changed_on_the_way_leads_nowhere` |
//! | names of files as repository names | `paths::no_name_and_no_digest_becomes_a_path_on_disk` |
//! | malformed words | `bad_input::requests::malformed_words_in_a_path_are_refused_by_their_code` |
//! | smuggling: two framings (CL.TE, TE.CL) | `smuggling::a_body_with_two_framings_is_the_last_of_its_connection` |
//! | smuggling: lengths, codings, obs-fold | `smuggling::lengths_and_codings_that_are_not_plain_are_refused` |
//! | smuggling: chunks | `smuggling::chunks_that_are_not_well_formed_break_the_body_and_the_connection`, `smuggling::extensions_and_trailers_of_chunks_are_bounded_and_mean_nothing` |
//! | smuggling: pipelines, bodies like requests | `smuggling::requests_in_a_row_are_answered_in_their_order_and_each_with_its_own`, `smuggling::a_body_that_was_not_asked_for_is_no_request` |
//! | h2c and other upgrades, CONNECT, TRACE | `smuggling::a_connection_is_never_handed_to_another_protocol_or_host` |
//! | response splitting | `injection::a_line_break_in_a_query_or_a_header_never_becomes_a_header` |
//! | `last` in the Link of the next page | `injection::the_next_page_is_a_link_that_holds_nothing_but_a_query` |
//! | doubled and odd parameters | `injection::what_is_said_twice_or_makes_no_number_is_refused`, `bad_input::requests::malformed_queries_are_refused_and_not_guessed` |
//! | Host and forwarding headers | `injection::no_header_about_hosts_or_addresses_shows_in_an_answer`, `balancers::no_header_leads_a_client_elsewhere`, `tokens::a_realm_is_an_address_of_ours_whatever_host_is_said` |
//! | namespaces with the names of other hosts | `injection::a_namespace_is_a_host_that_is_listed_and_nothing_else` |
//! | headers through to an upstream | `injection::a_client_s_headers_reach_no_upstream_and_an_upstream_s_words_no_header` |
//! | oversized heads | `oversize::heads_of_requests_are_bounded_in_bytes_and_in_lines` |
//! | oversized manifests, deep JSON | `oversize::a_manifest_is_bounded_however_its_length_is_said`, `bad_input::requests::a_manifest_of_four_mebibytes_is_taken_and_one_byte_more_is_not` |
//! | overflowing ranges | `oversize::numbers_at_the_end_of_their_range_overflow_nowhere`, `bad_input::uploads::malformed_chunk_ranges_are_refused_and_change_nothing` |
//! | a body longer than its length | `oversize::a_body_that_is_longer_than_its_length_is_cut_there` |
//! | oversized forms and credentials | `tokens::a_form_or_a_credential_without_end_is_refused` |
//! | lists and tags without end | `oversize::names_and_pages_without_end_are_cut_to_a_page` |
//! | uploads without end | `oversize::uploads_that_nobody_ends_are_bounded`, `crowd` |
//! | slowloris, heads | `slowloris::heads_that_drip_are_cut_off_and_others_served_meanwhile` |
//! | slowloris, bodies in both directions | `slow::fast_clients_are_served_beside_slow_ones_of_whom_only_those_below_the_floor_are_cut_off` |
//! | SSRF: metadata services | `astray::no_upstream_leads_to_a_metadata_service` |
//! | SSRF: other networks, loopback | `astray::no_upstream_leads_into_another_network_unless_its_hosts_are_listed` |
//! | SSRF: other schemes | `astray::no_upstream_leads_to_what_is_no_address_of_the_web` |
//! | credentials to a wrong host | `astray::credentials_stay_at_the_address_that_they_are_for`, `pull::the_first_answer_is_a_fill_and_the_credentials_stay_at_the_registry` |
//! | lying upstreams | `malicious` |
//! | probing for forbidden content | `probing::what_is_forbidden_looks_the_same_whether_it_is_there_or_not` |
//! | probing the cache by digest, mounts across a forbidden repository, manifests with its blobs | `probing::no_way_round_a_repository_leads_to_its_blobs` |
//! | probing by lists | `probing::a_list_has_nothing_of_what_its_reader_may_not_see` |
//! | an upload of another user | `sessions::an_upload_is_nobody_s_but_that_of_who_opened_it` |
//! | a token of one repository on another | `tokens::a_token_is_good_for_its_repository_and_its_actions_only` |
//! | scopes beyond the caller's rights | `tokens::a_scope_buys_nothing_that_its_asker_may_not_do` |
//! | forged tokens: alg none, guessed keys, `kid`, `jku`, `jwk` | `tokens::no_forged_token_is_taken_for_one_of_ours` |
//! | expired tokens, wrong audience, wrong issuer | `tokens::a_token_of_our_own_key_counts_only_as_long_and_for_whom_it_says` |
//! | credentials twice, in other headers, in addresses | `tokens::credentials_that_are_shown_twice_or_strangely_are_none` |
//! | forged tokens of an issuer: alg none, its public key as a secret, wrong key | `issuers::a_signature_counts_only_when_it_is_of_a_key_and_a_kind_that_the_issuer_has` |
//! | an issuer's tokens: expired, for others, of others | `issuers::a_good_signature_is_not_enough_where_the_claims_are_wrong` |
//! | making us fetch keys, from where a token says or too often | `issuers::keys_come_from_the_configured_place_and_are_not_asked_for_at_a_stranger_s_will` |
//! | guessing passwords of users | `access::logins::who_guesses_passwords_is_told_to_wait_and_others_go_on` |
//! | guessing where the upstream decides: floods, names without end | `passthrough::strangers::a_flood_of_guesses_reaches_the_upstream_a_few_times_and_keeps_nobody_out`, `passthrough::strangers::a_name_that_is_guessed_at_is_asked_about_a_few_times` |
//! | guessed logins without an answer from the upstream | `passthrough::strangers::logins_about_which_the_upstream_never_answers_keep_nobody_waiting_whom_it_knows` |
//! | locking others out by wrong logins | `access::logins::who_logged_in_lately_is_not_locked_out_by_wrong_logins_behind_the_same_address`, `passthrough::strangers::right_logins_are_not_locked_out_by_wrong_ones_behind_their_address` |
//! | unproven names: in logs, in rates | `passthrough::strangers::a_name_that_nobody_proved_is_written_down_nowhere`, `passthrough::strangers::claimed_names_have_one_rate_and_it_is_that_of_their_address`, `access::logins::what_was_typed_as_a_name_is_not_written_down_when_it_is_refused` |
//! | timing of password checks | `timing::a_wrong_password_and_an_unknown_user_take_the_same_time` |
//! | log injection | `logs::no_line_of_a_text_log_is_written_by_a_stranger`, `logs::every_line_of_a_json_log_is_one_object_that_wharfd_wrote`, `logs::every_line_of_the_audit_log_is_one_object_that_wharfd_wrote` |
//! | secrets of clients in logs, answers, metrics, arguments, files | `secrets::nothing_that_clients_show_is_written_down_anywhere`, `secrets::files_with_secrets_are_for_their_owner_only` |
//! | secrets of upstreams | `credentials::secrets` |
//! | reloads beside pushes and deletions of one tag | `races::reloads_beside_pushes_and_deletions_leave_what_was_answered_last`, `races::reloads_of_the_upstream_beside_pushes_and_deletions_leave_what_was_answered_last` |
//! | a put at once after a deletion, from many | `races::what_is_put_at_once_after_its_deletion_is_there`, `races::what_is_put_at_once_after_its_deletion_is_there_and_at_the_upstream` |
//! | two clients with different staged images for one write-once tag, also over a kill | `staged::once` |
//! | a caller revoked in the middle of a push | `passthrough::revoked` |
//! | two parties with all of every limit | `tenants` |
//! | anything, on any route, from many at once | `fuzz_routes` |

mod astray;
mod injection;
mod issuers;
mod jwt;
mod logs;
mod oversize;
mod paths;
mod probing;
mod races;
mod raw;
mod scene;
mod secrets;
mod sessions;
mod slowloris;
mod smuggling;
mod timing;
mod tokens;
mod users;
