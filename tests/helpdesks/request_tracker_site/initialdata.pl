# What the site's database begins with, beside what every Request Tracker has.
our ( @Queues, @Users, @ACL, @CustomFields, @Scrips, @Final );

sub code_of {
    my ($name) = @_;
    open my $file, '<', "$ENV{REQUEST_TRACKER_SCRIP}/$name" or die "$name: $!";
    local $/;
    return <$file>;
}

@Queues = map { { Name => $_, Description => $_ } } 'Tech Support', 'Billing', 'Sales';

my @people = qw(ada grace);
@Users = map { { Name => $_, Password => "password of $_", EmailAddress => "$_\@desk.example", Privileged => 1 } }
    @people, 'classifier', 'onlooker';

my @look  = qw(SeeQueue ShowTicket ShowTicketComments SeeCustomField);
my @write = qw(CreateTicket ModifyTicket CommentOnTicket ModifyCustomField);
@ACL = (
    ( map { my $user = $_; map { { UserId => $user, Right => $_ } } @look, @write, 'DeleteTicket' } @people ),
    ( map { { UserId => 'classifier', Right => $_ } } @look, @write, 'ManageAuthTokens' ),
    ( map { { UserId => 'onlooker', Right => $_ } } @look, 'CommentOnTicket' ),
    # Customers write e-mails.
    { GroupDomain => 'SystemInternal', GroupType => 'Everyone', Right => 'CreateTicket' },
);

@CustomFields = (
    {   Name       => 'Team',
        Type       => 'SelectSingle',
        LookupType => 'RT::Queue-RT::Ticket',
        ApplyTo    => 'General',
        Values     => [ map { { Name => $_ } } 'Billing', 'Tech Support' ],
    },
);

@Scrips = (
    {   Description            => 'Tell the ticket classifier',
        ScripCondition         => 'User Defined',
        ScripAction            => 'User Defined',
        Template               => 'Blank',
        Stage                  => 'TransactionBatch',
        CustomIsApplicableCode => code_of('condition.pl'),
        CustomPrepareCode      => 'return 1;',
        CustomCommitCode       => code_of('action.pl'),
    },
);

@Final = (
    sub {
        my $user = RT::CurrentUser->new;
        $user->Load('classifier');
        my ( $ok, $message, $token ) = RT::AuthToken->new($user)->Create( Owner => $user->Id, Description => 'API' );
        die $message unless $ok;
        open my $file, '>', $ENV{REQUEST_TRACKER_TOKEN} or die $!;
        print {$file} $token;
        close $file;
    },
);

1;
