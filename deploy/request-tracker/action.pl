# Tells the classifier of a ticket, signed as the Standard Webhooks specification says; where to, and by which secret, the
# configuration says. Whatever goes wrong is logged and holds nobody up: the classifier asks for what it was not told.
require Digest::SHA;
require JSON;
require LWP::UserAgent;
require MIME::Base64;

my $url    = RT->Config->Get('TicketClassifierUrl');
my $secret = RT->Config->Get('TicketClassifierSecret');
unless ( $url && $secret ) {
    RT->Logger->error('TicketClassifierUrl or TicketClassifierSecret is not set');
    return 1;
}

my $ticket      = $self->TicketObj;
my $transaction = $self->TransactionObj;

my %custom_fields;
my $fields = $ticket->CustomFields;
while ( my $field = $fields->Next ) {
    $custom_fields{ $field->Name } = $ticket->FirstCustomFieldValue( $field->Name );
}

my %said = (
    id            => $ticket->Id,
    queue         => $ticket->QueueObj->Name,
    priority      => $ticket->Priority,
    status        => $ticket->Status,
    custom_fields => \%custom_fields,
    created       => $ticket->CreatedObj->W3CDTF( Timezone => 'UTC' ),
    changed       => $ticket->LastUpdatedObj->W3CDTF( Timezone => 'UTC' ),
    actor         => $transaction->CreatorObj->Name,
);
if ( $transaction->Type eq 'Create' ) {
    my $type = 'text/plain';
    $said{title}       = $ticket->Subject;
    $said{description} = $transaction->ContentObj( Type => $type ) ? $transaction->Content( Type => $type ) : '';
    $said{description} = substr $said{description}, 0, 100_000;
}

my $body      = JSON->new->utf8->canonical->encode( \%said );
my $id        = join '-', 'rt', $transaction->Id, $ticket->Id;
my $timestamp = time;
my $key       = $secret =~ /^whsec_(.+)/ ? MIME::Base64::decode_base64($1) : $secret;
my $signature = MIME::Base64::encode_base64( Digest::SHA::hmac_sha256( "$id.$timestamp.$body", $key ), '' );

my $answer = LWP::UserAgent->new( timeout => 3, max_redirect => 0 )->post(
    $url,
    'Content-Type'      => 'application/json',
    'webhook-id'        => $id,
    'webhook-timestamp' => $timestamp,
    'webhook-signature' => "v1,$signature",
    Content             => $body,
);
RT->Logger->warning( "The classifier was not told of ticket $said{id}: " . $answer->status_line )
    unless $answer->is_success;
return 1;
